"""The management server: it knows the network's peers, and an operator says here which of them are security hubs.

* From the inside out: values and pure functions (`network`, `hub_rule`, `atlas`, `view`, and a module for each
  resource); what survives (`archive`); what is so now (`mesh`, `presence`); who is asking (`gate`); HTTP (`api`).
* No PSRD byte, share or key ever comes here, and no answer from here makes an agent spend or release one.
"""
