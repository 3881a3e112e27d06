export { c3a, type C3aConfig } from './c3a.js';
export { fourierft, type FourierftConfig } from './fourierft.js';
export { waveft, type WaveftConfig } from './waveft.js';
