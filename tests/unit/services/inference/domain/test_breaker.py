from services.inference.domain.breaker import FAILURES, LONGEST_REST_S, REST_S, Breaker, RetryBudget


def opened() -> Breaker:
    breaker = Breaker()
    for _ in range(FAILURES):
        breaker.begin(0.0)
        breaker.failed(0.0)
    return breaker


def test_failures_in_a_row_open_it_for_a_while() -> None:
    breaker = opened()

    assert not breaker.allows(REST_S - 0.1)
    assert breaker.allows(REST_S)


def test_a_success_between_failures_keeps_it_closed() -> None:
    breaker = Breaker()
    for _ in range(FAILURES - 1):
        breaker.failed(0.0)
    breaker.succeeded()
    breaker.failed(0.0)

    assert breaker.allows(0.0)


def test_half_of_the_recent_calls_failing_opens_it() -> None:
    breaker = Breaker()
    for _ in range(10):
        breaker.failed(0.0)
        breaker.succeeded()

    breaker.failed(0.0)

    assert not breaker.allows(0.0)


def test_after_its_rest_one_trial_at_a_time_is_allowed() -> None:
    breaker = opened()

    breaker.begin(REST_S)

    assert not breaker.allows(REST_S)
    breaker.ended()  # its caller left: nothing was learnt
    assert breaker.allows(REST_S)


def test_a_trial_that_never_ends_does_not_close_it_for_ever() -> None:
    breaker = opened()

    breaker.begin(REST_S)

    assert breaker.allows(REST_S + LONGEST_REST_S)


def test_two_good_trials_close_it_and_a_bad_one_doubles_its_rest() -> None:
    good, ill = opened(), opened()
    for _ in range(2):
        good.begin(REST_S)
        good.succeeded()
    ill.begin(REST_S)
    ill.failed(REST_S)

    assert good.allows(REST_S)
    assert not ill.allows(REST_S + 1.9 * REST_S)
    assert ill.allows(REST_S + 2 * REST_S)


def test_a_provider_that_names_a_long_time_is_left_alone_for_it() -> None:
    breaker = Breaker()

    breaker.failed(0.0, after_s=30.0)

    assert not breaker.allows(29.0)
    assert breaker.allows(30.0)


def test_retries_are_a_tenth_of_the_requests() -> None:
    budget, retries = RetryBudget(), 0

    for _ in range(1000):
        budget.request()
        retries += budget.take()

    assert 95 <= retries <= 102
