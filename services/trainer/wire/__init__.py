"""Messages and the jobs' files to values, and back: of training runs, and of engine builds."""
