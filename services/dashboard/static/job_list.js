// The list of searches: some are ticked to be compared.

import { limitTicks } from "./ticks.js";

limitTicks("input[form=compare]", "#compare button", 6);
