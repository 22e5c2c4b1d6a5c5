"""The demo: plays a bank's users against a running stack and reads what the services did.

Nothing here is scripted around the services: it uploads records, asks questions, rates and
corrects answers, and starts campaigns as an operator would. What happens next is theirs.
"""
