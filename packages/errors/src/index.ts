export { PeftError } from './peft-error.js';
export { didYouMean, nearestNames } from './nearest-names.js';
export { check, show } from './check.js';
export { withinTime } from './within-time.js';
