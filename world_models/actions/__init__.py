"""Actions in latent space: the group that acts, and the estimators that infer which of its elements did."""
