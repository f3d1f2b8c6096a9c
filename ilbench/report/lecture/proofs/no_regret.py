"""From no regret to a bound: what rounds of DAgger buy."""

TITLE = "From no regret to a bound"
STATEMENT = (
    r"DAgger plays policies $\pi_1, \dots, \pi_N$. Let $L_i(\pi) = \frac{1}{H} \sum_t \mathbb{E}_{d_t^{\pi_i}} \ell(s, \pi)$ be "
    r"the error of $\pi$ on the states of $\pi_i$, $\epsilon_N = \min_\pi \frac{1}{N} \sum_i L_i(\pi)$ the best of the class in "
    r"hindsight, and $\gamma_N$ the average regret, $\frac{1}{N} \sum_i L_i(\pi_i) - \epsilon_N$. The policy $\bar\pi$ that draws "
    r"one of the $N$ before an episode and keeps to it has",
    r"$$J(\bar\pi) - J(\pi^*) \le u H (\epsilon_N + \gamma_N)$$",
    r"and at least one of the $N$ is no worse than that.",
)
PROOF = (
    r"$L_i(\pi_i)$ is the error of $\pi_i$ on its own states, so that DAgger's bound says $J(\pi_i) - J(\pi^*) \le u H "
    r"L_i(\pi_i)$ of each. The mixture's cost is the mean of theirs, because it keeps to what it drew:",
    r"$$J(\bar\pi) - J(\pi^*) &= \frac{1}{N} \sum_{i=1}^{N} \left( J(\pi_i) - J(\pi^*) \right) \\ &\le \frac{u H}{N} "
    r"\sum_{i=1}^{N} L_i(\pi_i) = u H (\epsilon_N + \gamma_N)$$",
    r"The last step is the definition of regret. The best of a set is no worse than its mean.",
    r"So the states that a learner will see, which nobody knows in advance, have become a game: each round it plays a policy and "
    r"is shown a loss. What is left of the error is the class, $\epsilon_N$, and the regret $\gamma_N$, which tends to zero for a "
    r"learner that has no regret: follow the leader on strongly convex losses has $\gamma_N \sim c / N$ here.",
    r"Two limits of this. On the 0-1 loss follow the leader can be led in circles, and $\gamma_N$ stays where it is. And nothing "
    r"is said of the last policy: it can be worse than the mixture.",
)
STEPS = (
    ("mixture's gap minus its bound, at worst", "t07_no_regret", ("mixture gap",)),
    ("N γ_N on a strongly convex loss", "t07_no_regret", ("N gamma_N, FTL",)),
    ("γ_N as a power of N there", "t07_no_regret", ("slope of gamma_N",)),
    ("γ_N in the trap with 0-1 loss", "t07_no_regret", ("gamma_N of FTL on 0-1",)),
    ("a randomised class in the same trap: √N γ_N", "t07_no_regret", ("gradient descent",)),
    ("the last policy minus the mixture, at worst", "t07_no_regret", ("last iterate",)),
)
