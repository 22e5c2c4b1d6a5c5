"""What the monitor decides: is the traffic still the reference's, why not, what is done about it.

What comes in, and what goes out
    ``generation``   an answer, and what was said about it
    ``sample``, ``sampling``  what the detectors are given, and what they say
    ``outcome``      what an application declares, and what folding its records can say
    ``application``  all of it for one application, folded record by record
    ``release``      one release: its minutes, its service levels, its watch
    ``pace``, ``recent``  what is looked at in a crowd; what was seen lately

Which events are draws of one kind
    ``intake``, ``copies``, ``persistence``, ``strata``  broken prompts, near copies, memory, hours
    ``held``, ``block``, ``gathering``  events that wait for the fit, their block, the reference

Cells
    ``fitting``, ``partition``, ``scalar``  of embeddings, numbers and words, from the fit part

Detectors
    ``detector``     the conformal Shiryaev-Roberts e-detector over one partition
    ``bets``, ``form``, ``ranking``, ``draws``  its densities on [0, 1], its p-values, their ties
    ``kernel``, ``features``  conformal tests of a learned direction, for thin changes close by
    ``fixed``, ``ball``  a fixed reference, for a promise about this very one
    ``signal``, ``panel``  one named signal and its budget; all of a release
    ``watch``        one release: collects its reference, then watches its signals
    ``ratings``      what users say of its answers, a signal with a reference of its own
    ``scoring``      the same over a history
    ``part``, ``rare``, ``missing``  its columns; values that few events have, or no longer
    ``fleet``        which alarms stand among those of all releases
    ``telling``, ``evidence``, ``scatter``  what an alarm shows

Causes and decisions
    ``inquiry``, ``cause``  the case of an alarm, and what the signals say together
    ``decision``, ``policy``, ``benefit``, ``past``, ``verdict``  when an alarm becomes a campaign

Rollouts and service levels
    ``canary``       candidate against champion, anytime-valid
    ``windows``      one release by the minute
    ``slo``, ``objective``  how fast error budgets are spent
"""
