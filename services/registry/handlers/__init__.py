"""What the registry does.

``conduct``  an input reaches its campaign: load, step, keep, perform, in one transaction
``perform``  what a campaign asks for, done in that transaction
``inputs``   one handler per consumed topic
``desk``     what operators ask for: applications, keys, campaigns
``lineage``  from a release back to its data
``audit``    a campaign recomputed from the topics
"""
