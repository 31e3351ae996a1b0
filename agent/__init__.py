"""The learner: networks, SAC in the RLPD arrangement, replay, the actor and learner processes, evaluation."""
