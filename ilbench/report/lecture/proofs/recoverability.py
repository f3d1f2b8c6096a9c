"""DAgger's O(u eps H): what the performance difference lemma makes of a mistake that can be undone."""

TITLE = "DAgger costs O(u ε H)"
STATEMENT = (
    r"Let $J$ be the expected cost, $Q_t^{\pi^*}$ and $V_t^{\pi^*}$ the expert's cost to go, and $u$ such that one wrong action "
    r"costs at most $u$ if the expert takes over right after it: $Q_t^{\pi^*}(s, a) - V_t^{\pi^*}(s) \le u$ for every state that "
    r"the learner visits and every action that it takes there. With $\epsilon_{\text{on}} = \frac{1}{H} \sum_t "
    r"\mathbb{E}_{d_t^{\hat\pi}} \ell$, its error on its own states,",
    r"$$J(\hat\pi) - J(\pi^*) \le u H \epsilon_{\text{on}}$$",
)
PROOF = (
    r"The performance difference lemma, with the learner in the place of $\pi$ and the expert in that of $\pi'$:",
    r"$$J(\hat\pi) - J(\pi^*) = \sum_{t=1}^{H} \mathbb{E}_{s \sim d_t^{\hat\pi}} \left[ Q_t^{\pi^*}(s, \hat\pi(s)) - "
    r"V_t^{\pi^*}(s) \right]$$",
    r"Where the learner does what the expert does, the difference is zero. Where it does not, and that has probability $\ell(s)$, "
    r"it is at most $u$. So each term is at most $u \, \mathbb{E}_{d_t^{\hat\pi}} \ell$, and their sum at most $u H "
    r"\epsilon_{\text{on}}$.",
    r"Behaviour cloning makes the error on the expert's states small and DAgger the error on the learner's own, "
    r"$\epsilon_{\text{on}}$: that is why it has one $H$ less. What is left of the horizon sits in $u$. Where the next step "
    r"recovers, $u = 1$. On a cliff, where a fall is final, a mistake costs all steps that are left, $u = H$, and nothing is "
    r"gained.",
    r"If the cost is the lecture's own, one for each mistake, the expert never pays, so $Q_t^{\pi^*}(s, a) - V_t^{\pi^*}(s) = "
    r"\mathbf{1}\{a \ne \pi^*(s)\}$ and $u = 1$ in every MDP: the bound then only says that the mistakes are the mistakes. It has "
    r"content for a cost of the task.",
)
STEPS = (
    ("u where the next step recovers", "t06_dagger_u", ("u = max", "recoverable")),
    ("u on the cliff: all that is left", "t06_dagger_u", ("u = max", "cliff")),
    (
        "the gap where the next step recovers, and its bound",
        "t06_dagger_u",
        ("gap <=", "recoverable, DAgger coverage, eps = 0.0001"),
    ),
    ("the gap on the cliff, and its bound", "t06_dagger_u", ("gap <=", "cliff, DAgger coverage, eps = 0.0001")),
    ("gap minus bound on random MDPs, at worst", "t06_dagger_u", ("random MDPs",)),
    ("one for each mistake: u = 1 everywhere", "t06_dagger_u", ("|u - 1|",)),
)
