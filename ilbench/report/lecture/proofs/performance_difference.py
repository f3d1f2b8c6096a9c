"""The performance difference lemma, by walking from one policy to the other a step at a time."""

TITLE = "The performance difference lemma"
STATEMENT = (
    r"For any two policies $\pi$ and $\pi'$ in any MDP with $H$ steps, $J$ the expected return and $d_t^\pi$ the law of the state "
    r"that $\pi$ is in at step $t$:",
    r"$$J(\pi) - J(\pi') = \sum_{t=1}^{H} \mathbb{E}_{s \sim d_t^\pi} \left[ Q_t^{\pi'}(s, \pi(s)) - V_t^{\pi'}(s) \right]$$",
    r"Here $Q_t^{\pi'}(s, a)$ is what $\pi'$ earns from step $t$ on if its first action is $a$, $Q_t^{\pi'}(s, \pi(s))$ is its "
    r"mean over the actions of $\pi$, and $V_t^{\pi'}(s) = Q_t^{\pi'}(s, \pi'(s))$.",
)
PROOF = (
    r"Let $\pi^{(t)}$ act as $\pi$ in the first $t$ steps and as $\pi'$ from then on, so that $\pi^{(0)} = \pi'$ and $\pi^{(H)} = "
    r"\pi$. What lies between the two ends is a sum of $H$ differences:",
    r"$$J(\pi) - J(\pi') = \sum_{t=1}^{H} \left( J(\pi^{(t)}) - J(\pi^{(t-1)}) \right)$$",
    r"Look at one of them. Up to step $t - 1$ both policies act as $\pi$: they have earned the same, and the state at step $t$ "
    r"has the law $d_t^\pi$ for both. There one takes an action of $\pi$ and the other an action of $\pi'$. From $t + 1$ on both "
    r"act as $\pi'$, so what is still to come is $Q_t^{\pi'}(s, \pi(s))$ for the one and $V_t^{\pi'}(s)$ for the other:",
    r"$$J(\pi^{(t)}) - J(\pi^{(t-1)}) = \mathbb{E}_{s \sim d_t^\pi} \left[ Q_t^{\pi'}(s, \pi(s)) - V_t^{\pi'}(s) \right]$$",
    r"That is the term of the lemma. With the two names changed round, and the sign, the states are those of $\pi'$ and the "
    r"values those of $\pi$: the reversed form. The index $t$ of $Q_t$ matters even where policies do not change with time, "
    r"because $H - t$ rewards are left: with the values of the first step at every step the identity is false.",
)
STEPS = (
    ("the identity, on random MDPs", "t01_pdl_identity", ("random MDPs", "forward")),
    ("reversed", "t01_pdl_identity", ("random MDPs", "reversed")),
    ("on every tabular task", "t01_pdl_identity", ("tabular tasks", "forward")),
    (
        "a term measured by branching: one action of the other policy",
        "t01_pdl_identity",
        ("random_mdp", "forward", "branch"),
    ),
    ("one Q for all steps: false", "t01_pdl_identity", ("Q_0",)),
)
