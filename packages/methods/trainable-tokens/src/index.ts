export { trainableTokens, type TrainableTokensConfig } from './trainable-tokens.js';
