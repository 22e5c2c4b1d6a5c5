"""What the monitor decides: is the traffic still the reference's, is the candidate worse.

``partition``  cells of the prompt's embedding, bins of the log-probability's residual
``bets``       densities on [0, 1] that win when the cells' shares move
``detector``   the conformal Shiryaev-Roberts e-detector over one partition
``features``   events as the learned kernel sees them
``kernel``     conformal tests of a learned direction, for thin changes close by
``ball``       a fixed reference with its confidence ball, for a promise about this very one
``fleet``      one budget of false alarms for many streams
``signal``     one named signal: its channels, budget, history and latch
``watch``      one release: collects its reference, then watches its signals
``decision``   when an alarm becomes a campaign
``canary``     candidate against champion, anytime-valid
``windows``    one release by the minute
``recent``     a bounded set of what was seen lately
``application`` all of it for one application, folded record by record
"""
