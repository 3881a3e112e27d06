export { ladder, type LadderConfig } from './ladder.js';
