"""Corrective labels from a learned model: how far they can be trusted."""

TITLE = "Corrective labels miss by at most ε + (K + K') d"
STATEMENT = (
    r"Let $f(s, a) = s' - s$ be the true change of a state and $\hat f$ a model of it, with Lipschitz constants $K_f$ and "
    r"$K_{\hat f}$ in $s$. Near a demonstrated state $s^*$ one looks for a state $s_G$ whose outcome, by the model, is that "
    r"state: $s_G + \hat f(s_G, a) = s^*$. With $d = \|s_G - s^*\|$ and $\epsilon = \|f(s^*, a) - \hat f(s^*, a)\|$, the fit at "
    r"the data, its true outcome misses $s^*$ by",
    r"$$\| s_G + f(s_G, a) - s^* \| \le \epsilon + (K_f + K_{\hat f}) \, d$$",
)
PROOF = (
    r"By the choice of $s_G$ the miss is the error of the model there, $\|f(s_G, a) - \hat f(s_G, a)\|$. The model was fitted at "
    r"$s^*$, so go there and back, with the action left out:",
    r"$$f(s_G) - \hat f(s_G) &= \left( f(s_G) - f(s^*) \right) \\ &+ \left( f(s^*) - \hat f(s^*) \right) \\ &+ \left( \hat f(s^*) "
    r"- \hat f(s_G) \right)$$",
    r"The first difference is at most $K_f d$, the second is $\epsilon$, the third at most $K_{\hat f} d$. That is all, and it "
    r"cannot be improved: on a line with $f = K_f s$ and $\hat f = -K_{\hat f} s + \epsilon$ all three have the same sign and the "
    r"miss equals the bound.",
    r"A label without a search, $s_G = s^* - \hat f(s^*, a)$, uses the model at the data only. Then $s^* = s_G + \hat f(s^*, a)$ and",
    r"$$\| s_G + f(s_G, a) - s^* \| &= \| f(s_G, a) - \hat f(s^*, a) \| \\ &\le \epsilon + K_f d$$",
    r"without any constant of the model. Both bounds need $f$ to be smooth between $s_G$ and $s^*$. Beside a wall it jumps, there "
    r"is no $K_f$, and labels whose step would cross the wall miss by far more. That is why labels are kept only near the data.",
)
STEPS = (
    ("labels beyond the bound, 2,000 random models", "t12_corrective_label", ("solved labels, 2000",)),
    ("the same without a search", "t12_corrective_label", ("BackTrack labels, 2000",)),
    ("slopes that oppose each other: miss / bound", "t12_corrective_label", ("opposing slopes",)),
    ("learned models: labels beyond the bound", "t12_corrective_label", ("learned model: exceedances",)),
    ("what ccil itself makes", "t12_corrective_label", ("ccil's own labels, observations",)),
    ("beside a wall, with the K of the smooth map", "t12_corrective_label", ("solved labels near a wall",)),
)
