"""What the registry decides. Pure: values in, values out.

``values``       applications, models, engines, releases, datasets
``policies``     what an application asks of the gateway, its engines and its service levels
``application``  what an application may say, and what it means where it says nothing
``terms``        the same of its policies
``bounds``       numbers within their bounds
``prompts``      what a template may be
``releases``     what is served, named by its digest
``events``       inputs of a campaign
``campaign``     a campaign's state and ``step(state, event) -> (state, commands)``
``staging``      from a model to a loaded release
``upgrades``     a champion's engine for a runtime that has moved on
``rollout``      verdicts on shadow and canary evidence
``error_budget`` how sure each campaign must be (e-LOND)
``routing``      who answers which share
``replay``       the fold of ``step`` over a campaign's events
``canonical``    values <-> JSON, and their digests
"""
