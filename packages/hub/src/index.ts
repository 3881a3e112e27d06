export { type TensorStore } from './tensor-store.js';
export {
  openCheckpoint,
  ADAPTER_WEIGHT_FILES,
  WEIGHT_FILES,
} from './safetensors/open-checkpoint.js';
export { openSafetensors } from './safetensors/open-safetensors.js';
export {
  type NewTensor,
  type WritableTensor,
  writeSafetensors,
  type WriteSafetensorsOptions,
} from './safetensors/write-safetensors.js';
export { writeCheckpoint, type WriteCheckpointOptions } from './safetensors/write-checkpoint.js';
export {
  type BitsAndBytesConfig,
  bitsAndBytesConfigJson,
} from './quantized/bitsandbytes/quantization-config.js';
export { quantizedTensors } from './quantized/bitsandbytes/quantized-tensors.js';
export { type QuantizedSource, type StoredForm } from './quantized/quantized-form.js';
export { QUANTIZED_FORMS, storedForm } from './quantized/quantized-forms.js';
export { quantizedStore, type QuantizedStore } from './quantized/quantized-store.js';
export { openTorchFile } from './torch-file/open-torch-file.js';
export { type ZipEntry, zipEntries } from './zip/zip-directory.js';
export {
  decodeValues,
  encodeValues,
  readFloat32,
  readTensor,
  type ReadTensor,
  type StorableValues,
  type TensorValues,
  type ValuesOf,
} from './tensor-values.js';
export { type JsonObject, readJsonObject } from './files/json-file.js';
export {
  type ModelFolder,
  readModelConfig,
  readModelFolder,
  readTokenizerFiles,
  SENTENCE_PIECE_FILES,
  type TokenizerFiles,
} from './files/model-folder.js';
export { isLiving, removeAbandoned, type AbandonedOptions } from './files/abandoned-files.js';
export {
  type FileContent,
  refuseFull,
  writeFileAtomic,
  writeFolderAtomic,
} from './files/write-file-atomic.js';
export { revisionOfFolder } from './download/model-reference.js';
export {
  type DownloadProgress,
  resolveModel,
  type ResolveModelOptions,
} from './download/resolve-model.js';
export {
  type ModelFileKind,
  selectModelFiles,
  type SelectedFiles,
} from './download/model-files.js';
export {
  pushToHub,
  type PushedFile,
  type PushOptions,
  type PushPlan,
  type PushResult,
} from './upload/push-to-hub.js';
export { environmentFetch, withPatience } from './download/hub-fetch.js';
export { type HubEnvironment, hubEnvironment } from './download/hub-environment.js';
export { BLOCK_TYPES, decodeBlocks, encodeBlocks } from './gguf/blocks/block-types.js';
export { type BlockType } from './gguf/blocks/block-type.js';
export { type GgufEntry, type GgufScalar, type GgufValue } from './gguf/gguf-value.js';
export { type GgufHeader, type GgufTensor } from './gguf/gguf-header.js';
export { ggufTensorBytes, writeGguf, type NewGgufTensor } from './gguf/write-gguf.js';
export {
  namesOf,
  type GgufFamily,
  type GgufForm,
  type GgufName,
} from './gguf/families/gguf-family.js';
export { GGUF_FAMILIES } from './gguf/families/gguf-families.js';
export { fromPairs, toPairs } from './gguf/families/head-pairs.js';
export { GGUF_PRE_TOKENIZERS, type GgufPreTokenizer } from './gguf/pre-tokenizers.js';
export { openGguf, type GgufFile } from './gguf/open-gguf.js';
export { ggufConfig } from './gguf/gguf-config.js';
export { ggufTokenizer, type GgufTokenizer } from './gguf/gguf-tokenizer.js';
export { writeGgufModelFiles } from './gguf/gguf-model-files.js';
