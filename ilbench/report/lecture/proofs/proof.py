"""The bound of behaviour cloning, in the lecture's four steps, with the one that the slide has wrong put right."""

TITLE = "Behaviour cloning costs O(ε H²)"
STATEMENT = (
    r"Let the expert $\pi^*$ be deterministic, $\ell(s)$ the probability that the learner $\hat\pi$ acts differently in $s$, and "
    r"$\epsilon_t = \mathbb{E}_{d_t^{\pi^*}} \ell$ its error on the expert's states. If $\epsilon_t \le \epsilon$ at every $t$, "
    r"the mistakes on its own states are at most",
    r"$$\sum_{t=1}^{H} \mathbb{E}_{d_t^{\hat\pi}} \ell \le \epsilon \, \frac{H (H + 1)}{2}$$",
)
PROOF = (
    r"Let $E_t$ be the event that the learner made no mistake in its first $t - 1$ steps, and $m_t(s) = \Pr(s_t = s, E_t)$. As "
    r"long as learner and expert agree they see the same states, so the learner cannot be in $s$ without a mistake more often "
    r"than the expert is in $s$:",
    r"$$m_t(s) = \mathbb{E}_{\pi^*} \left[ \mathbf{1}\{s_t = s\} \prod_{i < t} \hat\pi(\pi^*(s_i) \mid s_i) \right] \le "
    r"d_t^{\pi^*}(s)$$",
    r"All four steps follow from this line. It is easiest to begin with the second.",
    r"(2) A mistake at $t$ that is the first one: sum the line over $s$ with weights $\ell(s)$,",
    r"$$\mathbb{E}[\ell(s_t) \mathbf{1}\{E_t\}] = \sum_s m_t(s) \ell(s) \le \sum_s d_t^{\pi^*}(s) \ell(s) = \epsilon_t$$",
    r"(1) A mistake before $t$ has a first one at some $i < t$:",
    r"$$\Pr(E_t^c) = \sum_{i < t} \mathbb{E}[\ell(s_i) \mathbf{1}\{E_i\}] \le \sum_{i < t} \epsilon_i \le (t - 1) \epsilon$$",
    r"(3) At step $t$ either there was no mistake before, or there was, and then assume the worst, $\ell \le 1$:",
    r"$$\mathbb{E}_{d_t^{\hat\pi}} \ell &= \mathbb{E}[\ell \mathbf{1}\{E_t\}] + \mathbb{E}[\ell \mathbf{1}\{E_t^c\}] \\ &\le "
    r"\epsilon_t + \Pr(E_t^c) \le t \epsilon$$",
    r"(4) Sum over $t$: $\epsilon (1 + 2 + \dots + H) = \epsilon H (H + 1) / 2$.",
    r"The slide conditions in (2) instead of multiplying: $\mathbb{E}[\ell(s_t) \mid E_t] = \mathbb{E}_{d_t^{\pi^*}} \ell$. That "
    r"is false in general. Take two start states of mass $1/2$, where the learner errs in the first at $t = 1$ and in the second "
    r"at $t = 2$. Who has made no mistake sits in the second, so the left side is $1$ at $t = 2$, and the right side $1/2$. The "
    r"product is all that is needed, so the theorem stands; Ross and Bagnell's own proof conditions correctly.",
)
_RANDOM = "400 random MDPs"
STEPS = (
    ("(1) largest ratio of its two sides", "lecture_proof", (_RANDOM, "P(E_t^c) / sum")),
    ("(2) largest ratio", "lecture_proof", (_RANDOM, "E[l(s_t) 1{E_t}] / eps_t")),
    ("(3) largest ratio", "lecture_proof", (_RANDOM, "E_{d_t^pihat} l / sum")),
    ("(4) largest ratio", "lecture_proof", (_RANDOM, "cost / (eps H(H+1)/2)")),
    ("the line that all follow from", "lecture_proof", ("P(s_t = s, E_t)",)),
    ("the slide's equality", "lecture_proof", ("disjoint", "slide")),
    ("the theorem on the same instance", "lecture_proof", ("disjoint", "cost = eps")),
)
