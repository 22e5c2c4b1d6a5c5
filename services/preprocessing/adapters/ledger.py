"""One transaction per batch of the consumer loop, one savepoint per record."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.engine import Connection, Engine, RootTransaction

from libs.faults import Fatal, Retryable
from services.preprocessing.adapters.rows import SqlRows
from services.preprocessing.ports import Rows


class SqlLedger:
    """Used by one thread: the consumer loop's, which commits before its offsets move."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._open: tuple[Connection, RootTransaction] | None = None
        self._turns = 0

    @contextmanager
    def turn(self) -> Iterator[Rows]:
        """
        Raises:
            Retryable: the database is away and this was the batch's first turn.
            Fatal: it went away later: the turns before are gone with the transaction, and
                their offsets must not be committed.
        """
        try:
            connection = self._connection()
            with connection.begin_nested():
                yield SqlRows(connection)
            self._turns += 1
        except Retryable as error:
            earlier = self._turns
            self.close()
            if earlier:
                raise Fatal(f"a batch lost its transaction: {error}") from error
            raise

    def commit(self) -> None:
        """
        Raises:
            Fatal: the commit failed, so the batch must be read again.
        """
        if self._open is None:
            return
        connection, transaction = self._open
        try:
            transaction.commit()
        except Retryable as error:
            raise Fatal(f"a batch was not committed: {error}") from error
        finally:
            self._open, self._turns = None, 0
            connection.close()

    def close(self) -> None:
        """Forget the turns that are not committed."""
        if self._open is not None:
            connection, _ = self._open
            self._open, self._turns = None, 0
            connection.invalidate()
            connection.close()

    def _connection(self) -> Connection:
        if self._open is None:
            connection = self._engine.connect()
            try:
                self._open = connection, connection.begin()
            except Retryable:
                connection.close()
                raise
        return self._open[0]
