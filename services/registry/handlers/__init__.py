"""What the registry does.

``conduct``  an input reaches its campaign: load, step, keep, perform, in one transaction
``perform``  what a campaign asks for, done in that transaction
``inputs``   one handler per consumed topic
``desk``     what operators ask for: applications, keys, campaigns
``proposals``  what an operator proposes, made into the release that is tried
``library``  prompts, and the providers that may answer
``lineage``  from a release back to its data
``audit``    a campaign recomputed from the topics
"""
