export { architectures, encoderArchitectures } from './architectures.js';
export { bert } from './bert.js';
export { debertaV2, type DebertaConfig } from './deberta-v2.js';
export { electra, type ElectraConfig } from './electra.js';
export { roberta, type RobertaConfig } from './roberta.js';
export { type BertEncoderConfig } from './bert-encoder.js';
export { t5, type T5Config } from './t5.js';
