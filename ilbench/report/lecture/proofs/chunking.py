"""Chunks of actions: why single actions can fail on two stable plants, and why long enough chunks do not."""

TITLE = "Chunking: when committing to actions makes errors shrink"
STATEMENT = (
    r"A plant $x' = A x + u$ is steered by a learner with a wrong model $\hat A$ that would play $u = K x$. It plans $l$ actions "
    r"ahead in its model and executes them without looking. The error at the end of a chunk is a linear map of that at its start,",
    r"$$x_l &= \Phi_l x_0 \\ \Phi_l &= A^l + \sum_{k < l} A^{l - 1 - k} K (\hat A + K)^k$$",
    r"If the plant and the learner's own model of the loop, $\hat A + K$, are both stable, $\Phi_l \to 0$: from some $l$ on "
    r"errors shrink.",
)
PROOF = (
    r"In the model the state after $k$ steps is $\hat x_k = (\hat A + K)^k x_0$, so the planned actions are $u_k = K (\hat A + "
    r"K)^k x_0$. The plant adds them up: $x_{k+1} = A x_k + u_k$ gives $x_l = A^l x_0 + \sum_{k<l} A^{l-1-k} u_k$, which is "
    r"$\Phi_l x_0$. Let both $\|A^k\|$ and $\|(\hat A + K)^k\|$ be at most $c \rho^k$ with $\rho < 1$. Then every term of the sum "
    r"is at most $c^2 \|K\| \rho^{l-1}$ and there are $l$ of them:",
    r"$$\|\Phi_l\| \le c \rho^l + l \, c^2 \|K\| \rho^{l-1} \to 0$$",
    r"On a line, with plant $.9$, model $-.9$ and feedback $K = .9$, the model thinks it is at zero after one step and does "
    r"nothing more: $x_1 = (.9 + .9) x_0$ and then $x_l = .9^{l-1} x_1$, so",
    r"$$\Phi_l = 2 \cdot .9^l < 1 \iff l > \frac{\log 2}{\log (1 / .9)}$$",
    r"Looking at every step, $l = 1$, the same learner has the factor $1.8$ and diverges.",
    r"Why not learn better? Two plants with $A_1$ and $A_2$ in the plane can have experts $K_1$ and $K_2$ that are alike on the "
    r"second axis and keep to it, so that their demonstrations are the same; the first entries of $A_1$ and $A_2$ differ by "
    r"$2.2$. A smooth learner that fits them has a Jacobian $K$ that agrees with both on that axis. Then $A_i + K$ is lower "
    r"triangular with $a_i + k$ in its first place, and",
    r"$$\max_i |a_i + k| \ge \frac{|a_1 - a_2|}{2} = 1.1$$",
    r"so on one of the two plants errors grow by $\log 1.1$ a step. No smooth learner of single actions that fits these demonstrations "
    r"escapes.",
    r"The other side: where the open loop is unstable, $A = a > 1$, noise $\sigma$ of each step is multiplied inside a chunk and "
    r"its spread at the end is $\sigma \sqrt{\sum_{k<l} a^{2k}}$.",
)
STEPS = (
    ("chunks of 6 on the line: factor", "t14_pitfall_and_chunk", ("error factor of a chunk of 6",)),
    ("chunks of 7", "t14_pitfall_and_chunk", ("error factor of a chunk of 7",)),
    ("the shortest that contracts", "t14_pitfall_and_chunk", ("scalar .9", "chunks contract from l")),
    ("the pair: least growth of the worse plant", "t14_pitfall_and_chunk", ("min over K",)),
    (
        "the pair, trained networks, single actions",
        "t14_pitfall_and_chunk",
        ("networks (single actions): growth", "> log 1.1"),
    ),
    ("the pair in rollouts, planned chunks of 75", "t14_pitfall_and_chunk", ("chunks of 75",)),
    ("an unstable plant: spread after 32 steps", "t14_pitfall_and_chunk", ("sd after 32",)),
)
