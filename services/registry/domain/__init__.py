"""What the registry decides. Pure: values in, values out.

``values``       applications, models, engines, releases, datasets
``application``  what an application may say, and what it means where it says nothing
``events``       inputs of a campaign
``campaign``     a campaign's state and ``step(state, event) -> (state, commands)``
``rollout``      verdicts on shadow and canary evidence
``error_budget`` how sure each campaign must be (e-LOND)
``routing``      who answers which share
``replay``       the fold of ``step`` over a campaign's events
``canonical``    values <-> JSON, and their digests
"""
