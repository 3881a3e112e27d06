/**
 * UMT5 (Chung et al. 2023): mT5 where every block has a table of relative positions of its own.
 */
import { defineArchitecture } from '@peft/core';
import { readConfig, type ConfigJson } from '../description/config-reader.js';
import { parseT5Config, type T5Config } from './t5-config.js';
import { t5Parts } from './t5.js';

/** UMT5, `model_type` `umt5` (Chung et al. 2023). The reference is transformers' implementation. */
export const umt5 = defineArchitecture<T5Config>({
  ...t5Parts,
  family: 'UMT5',
  modelTypes: ['umt5'],
  conventions: {
    umt5: { adapterHub: { className: 'UMT5', encoderClass: 'UMT5EncoderModel' } },
  },
  parseConfig: (json: ConfigJson) => parseT5Config(readConfig('UMT5', json)),
});
