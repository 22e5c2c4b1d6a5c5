"""The trainer's ports made of real things, and the job that runs in the model environment."""
