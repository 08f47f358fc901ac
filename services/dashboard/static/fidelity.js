// Scores against true accuracies. Drawn when the report is there, also when it arrives later.

import { drawFidelity } from "./fidelity-chart.js";

drawFidelity();
document.addEventListener("htmx:afterSwap", drawFidelity);
