export { convertAdapter, type ConvertOptions } from './convert-adapter.js';
export { allFormats, EXPORT_FORMATS, formatNamed, withFormats } from './export-formats.js';
export {
  exportModel,
  type ExportOptions,
  type ExportProgress,
  type ExportResult,
} from './export-model.js';
export {
  defineFormat,
  isExportFormat,
  type ApproximatedPart,
  type ExportFormat,
  type ExportJob,
  type ExportReport,
  type FormatRequest,
  type WriteTools,
  type WrittenAdapter,
  type WrittenModel,
} from './format.js';
export { safetensors } from './formats/safetensors/safetensors.js';
export { checkAdapter } from './targets/check-adapter.js';
export { loadableBy } from './targets/loadable-by.js';
export { TARGET_NAMES, type AdapterVerdict, type TargetName } from './targets/targets.js';
