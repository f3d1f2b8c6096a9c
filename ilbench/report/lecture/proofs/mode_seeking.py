"""The mode table: what squared error, forward KL and reverse KL make of an expert with two modes."""

TITLE = "The mode table: forward against reverse divergences"
STATEMENT = (
    r"The expert draws $a$ from $p = \frac{1}{2} \mathrm{N}(-1, \sigma^2) + \frac{1}{2} \mathrm{N}(1, \sigma^2)$ with $\sigma = "
    r".1$; an action succeeds within $.3$ of a mode. Squared error finds the point between the modes, forward KL the Gaussian $q$ "
    r"with the mean and the variance of $p$, and reverse KL one of the two modes:",
    r"$$\min_q \operatorname{KL}(p \, \| \, q) &\text{ at } q = \mathrm{N}(0, 1 + \sigma^2) \\ \operatorname{KL}(q \, \| \, p) "
    r"\le \log 2 &\text{ at } q = \mathrm{N}(\pm 1, \sigma^2)$$",
)
PROOF = (
    r"Squared error: $\mathbb{E}(a - x)^2$ is smallest at $x = \mathbb{E} a = 0$, which is $1$ away from either mode: it never "
    r"succeeds.",
    r"Forward KL, which is what maximum likelihood minimises: with $q = \mathrm{N}(m, s^2)$",
    r"$$\operatorname{KL}(p \, \| \, q) = \mathbb{E}_p \log p + \frac{1}{2} \log (2 \pi s^2) + \frac{\mathbb{E}_p (a - m)^2}{2 s^2}$$",
    r"The last term wants $m = \mathbb{E}_p a = 0$; the derivative in $s^2$ is zero at $s^2 = \mathbb{E}_p a^2 = 1 + \sigma^2$. A "
    r"draw of that Gaussian succeeds if it falls within $.3$ of $1$ or of $-1$, with $\Phi$ the normal distribution function:",
    r"$$\Pr(\text{success}) &= 2 \left( \Phi \left( \frac{1.3}{s} \right) - \Phi \left( \frac{.7}{s} \right) \right) \\ s & = "
    r"\sqrt{1 + \sigma^2}$$",
    r"Reverse KL: let $q$ be one of the modes, $\mathrm{N}(1, \sigma^2)$. Then $p = \frac{1}{2} q \left( 1 + e^{-2 a / \sigma^2} "
    r"\right)$, so",
    r"$$\operatorname{KL}(q \, \| \, p) &= \mathbb{E}_q \log \frac{q}{p} \\ &= \log 2 - \mathbb{E}_q \log \left( 1 + e^{-2 a / "
    r"\sigma^2} \right) \le \log 2$$",
    r"and what is subtracted is next to nothing, because $q$ has no mass near $a \le 0$, ten standard deviations away. A draw "
    r"succeeds with probability $2 \Phi(3) - 1$. That no other Gaussian comes below is found by a search over means and "
    r"variances, in the check.",
    r"Why the two differ: $\operatorname{KL}(p \, \| \, q)$ is infinite where $q$ has no mass and $p$ has some, so $q$ must "
    r"cover; $\operatorname{KL}(q \, \| \, p)$ is infinite where $q$ has mass and $p$ has none, so $q$ must keep off. Covering is "
    r"harmless where the modes are so near that what lies between them succeeds: then the mean is best.",
)
STEPS = (
    ("success of the mean", "t15_divergences_mip", ("modes at -1, 1", "success of mean (MSE)")),
    ("success of the Gaussian of forward KL", "t15_divergences_mip", ("success of Gaussian, forward KL",)),
    ("the same with a trained head, drawn from", "t15_divergences_mip", ("product's Gaussian head",)),
    ("smallest reverse KL, log 2", "t15_divergences_mip", ("smallest KL(Gaussian || expert)",)),
    ("success of the Gaussian of reverse KL", "t15_divergences_mip", ("success of Gaussian, reverse KL",)),
    ("modes within the tolerance of each other: the mean", "t15_divergences_mip", ("success of the mean",)),
)
