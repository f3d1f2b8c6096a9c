"""That the bound of behaviour cloning is attained, by a deterministic learner."""

TITLE = "The bound is attained"
STATEMENT = (
    r"For every $\epsilon$ and every $H \le 1 / \epsilon$, with $1 / \epsilon$ a whole number, there is an MDP, a deterministic "
    r"expert and a deterministic learner with $\epsilon_t = \epsilon$ at every $t \le H$ whose cost is exactly $\epsilon H (H + "
    r"1) / 2$.",
)
PROOF = (
    r"Let there be $K = 1 / \epsilon$ start states of mass $\epsilon$ each. The expert stays where it started. In start state $k$ "
    r"the learner does as the expert up to step $k - 1$ and errs at step $k$; whoever has erred is in a bad state for good, where "
    r"the learner always errs.",
    r"On the expert's way exactly one start state errs at step $t$, and it has mass $\epsilon$: $\epsilon_t = \epsilon$ for every "
    r"$t \le K$. On the learner's own way all those have erred by step $t$ that started in one of the first $t$ states:",
    r"$$\mathbb{E}_{d_t^{\hat\pi}} \ell &= \epsilon \min(t, K) \\ \sum_{t=1}^{H} \mathbb{E}_{d_t^{\hat\pi}} \ell &= "
    r"\sum_{t=1}^{H} \min(1, t \epsilon) \\ &= \epsilon \, \frac{H (H + 1)}{2} \text{ if } H \epsilon \le 1$$",
    r"The learner needs no randomness. What is needed is that what errs at $t$ has not erred before: errors that never overlap. "
    r"Errors that are independent do overlap, and stay below the bound.",
    r"It matters which error is meant. Let only one start state of mass $\epsilon$ err, at the first step. Then the mean error "
    r"over time is $\bar\epsilon = \epsilon / H$, the cost is $\epsilon H = H^2 \bar\epsilon$, and the formula of the theorem "
    r"with $\bar\epsilon$ in the place of $\epsilon$ gives $\bar\epsilon H (H + 1) / 2$: too small by the factor $2 H / (H + 1)$.",
)
STEPS = (
    ("cost / the bound, at every H", "t03_bc_bound_attained", ("eps = 0.01:", "eps H(H+1)/2")),
    ("beyond H = 1/eps: cost / the clipped sum", "t03_bc_bound_attained", ("eps = 0.01:", "sum_t min")),
    (
        "one mistake at the first step: cost / (H^2 mean error)",
        "t03_bc_bound_attained",
        ("cost / (H^2 mean_t eps_t) = 1",),
    ),
    ("the theorem's formula with the mean error: false", "t03_bc_bound_attained", ("cost <= mean_t eps_t",)),
    ("its factor", "t03_bc_bound_attained", ("2H/(H+1)",)),
)
