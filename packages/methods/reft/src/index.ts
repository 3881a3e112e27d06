export { diReft, loReft, noReft, reft } from './reft.js';
export { REFT_DEFAULTS, type ReftConfig } from './reft-config.js';
