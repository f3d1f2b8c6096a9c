"""Noise while demonstrating: at which size the demonstrations show what the learner will see."""

TITLE = "Noise injection: the shift at matched noise"
STATEMENT = (
    r"While demonstrating, the expert's action is replaced by a wrong one with probability $\eta$; labels stay clean. The learner "
    r"errs with probability $\ell(s)$, $L = \sum_t \ell(s_t)$. What it makes on its own states and what one measures on the "
    r"demonstrations differ by the shift, and",
    r"$$| \mathbb{E}_{\hat\pi} L - \mathbb{E}_{\pi^*, \eta} L | \le H \sqrt{\frac{1}{2} \operatorname{KL} \left( P^{\hat\pi} \, "
    r"\| \, P^{\pi^*, \eta} \right)}$$",
    r"In two states, where a fall is undone by one right action, the shift is linear in $\eta$ and all but vanishes where the "
    r"noise is as large as the learner's mean error on the demonstrations made with it.",
)
PROOF = (
    r"The bound: $0 \le L \le H$, so the two means differ by at most $H$ times the total variation of the laws of trajectories, "
    r"and Pinsker's inequality bounds that by $\sqrt{\operatorname{KL} / 2}$. The KL of trajectories is a sum over steps, because "
    r"start and dynamics cancel; with $\pi_\eta^*$ for the noisy demonstrator:",
    r"$$\operatorname{KL} = \sum_{t=1}^{H} \mathbb{E}_{d_t^{\hat\pi}} \operatorname{KL} \left( \hat\pi(\cdot \mid s) \, \| \, "
    r"\pi_\eta^*(\cdot \mid s) \right)$$",
    r"Without noise it is infinite as soon as the learner errs. It is smallest where $\eta$ is the mean of $\ell$ on the "
    r"learner's states. DART chooses the noise by the likelihood of the learner's errors on the demonstrations at hand, and "
    r"repeats it on the new ones.",
    r"Two states: good, where the learner errs with probability $e = .05$, and bad, with $e' = .5$. From either a right action "
    r"leads to good and a wrong one to bad. The demonstrator errs with $\eta$ everywhere, so from the second step on it is in bad "
    r"with probability $\eta$. The learner is there with probability $b_t$, $b_{t+1} = e + (e' - e) b_t$ from $b_0 = 0$. Both pay "
    r"$e + (e' - e) \Pr(\text{bad})$ a step:",
    r"$$\text{shift}(\eta) = (e' - e) \left( \sum_{t=1}^{H-1} b_t - (H - 1) \eta \right)$$",
    r"a line, with its zero at the mean of the $b_t$. Matching the noise to the error measured on demonstrations that were made "
    r"with it asks for $\eta = e + (e' - e) \frac{H - 1}{H} \eta$, so",
    r"$$\eta^* = \frac{e}{1 - (e' - e) (H - 1) / H}$$",
    r"For long horizons $b_t$ tends to $e / (1 - (e' - e))$, and both are the same. The price: the demonstrator itself pays $\eta H$.",
)
STEPS = (
    ("the shift without noise", "t11_dart_match", ("at eta = 0,",)),
    ("with too much of it", "t11_dart_match", ("at eta = 0.2",)),
    ("the formula of the shift: largest difference", "t11_dart_match", ("shift(eta) = .45",)),
    ("where matching ends, η*", "t11_dart_match", ("iterated moment matching",)),
    ("the shift there, at most a hundredth of the loss", "t11_dart_match", ("|shift(eta*)| <= .01",)),
    ("shift / bound, largest over η", "t11_dart_match", ("largest ratio over eta",)),
    ("the bound at η*: no use", "t11_dart_match", ("sqrt(KL/2), H = 40",)),
    ("the price, η* H", "t11_dart_match", ("price of the demonstrations",)),
)
