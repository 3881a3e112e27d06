export { isTablePath, readTable, TABLE_ENDINGS } from './tables/read-table.js';
export type { ReadTableOptions, TableFormat } from './tables/read-options.js';
export {
  tableFromColumns,
  tableFromRows,
  type Cell,
  type Table,
  type TableNotes,
  type TableWarning,
} from './tables/table.js';

export {
  inferColumnTypes,
  type ColumnType,
  type ColumnTypeOptions,
} from './columns/column-types.js';
export {
  fitLabelEncoder,
  restoreLabelEncoder,
  type Label,
  type LabelEncoder,
} from './columns/label-encoder.js';
export {
  fitLabelScaler,
  numericLabels,
  restoreLabelScaler,
  type LabelScaler,
} from './columns/label-scaler.js';
export { parseList } from './columns/parse-list.js';
export {
  inferProblemType,
  type ProblemType,
  type ProblemTypeOptions,
} from './columns/problem-type.js';

export {
  holdoutFraction,
  holdoutSplit,
  type Holdout,
  type HoldoutOptions,
} from './sampling/holdout-split.js';
export { permutation, sampleRows } from './sampling/permutation.js';
export {
  restoreRandom,
  seededRandom,
  type RandomSeed,
  type RandomState,
  type SeededRandom,
} from './sampling/seeded-random.js';

export {
  hasTokenizer,
  loadTokenizer,
  readTokenizer,
  tokenizerWithTokens,
  type LoadTokenizerOptions,
  type ReadTokenizer,
} from './tokenizer/load-tokenizer.js';
export type { TokenSequence } from './tokenizer/components/post-processors.js';
export type { SpecialTokenName, SpecialTokens } from './tokenizer/special-tokens.js';
export {
  createTextTokenizer,
  type EncodeOptions,
  type TextTokenizer,
} from './tokenizer/text-tokenizer.js';
export type { TokenizerJson } from './tokenizer/tokenizer-json.js';

export { joinTexts, joinTokens, type JoinOptions, type JoinTokens } from './texts/join-texts.js';
export { maximumTextLength, type PositionConfig } from './texts/maximum-text-length.js';
export {
  tokenizeTable,
  type TokenizedTable,
  type TokenizeOptions,
} from './texts/tokenize-table.js';
export { trimLengths } from './texts/trim-lengths.js';

export {
  createChatTemplate,
  loadChatTemplate,
  type ChatMessage,
  type ChatTemplate,
  type RenderOptions,
} from './chat/chat-template.js';
export { CHAT_TEMPLATES, chatTemplateSource } from './chat/named-templates.js';
export {
  instructionConversation,
  KNOWN_ROLES,
  readConversation,
  spellsConversation,
  readTools,
  type Conversation,
} from './chat/read-conversation.js';
export { turnEndIds, turnEndText } from './chat/turn-end.js';
export { chatAnswerTokens, chatData, type ChatOptions } from './sequences/chat-data.js';
export {
  completionData,
  completionEncoder,
  type AnswerTokens,
  type Completion,
  type CompletionOptions,
} from './sequences/completion-data.js';
export { eachRow } from './sequences/each-row.js';
export {
  pairData,
  type PairBatch,
  type PairOptions,
  type TextPairRow,
} from './sequences/pair-data.js';
export { plainTextData, type PlainTextOptions } from './sequences/plain-text-data.js';
export {
  markOnce,
  specialAround,
  type MarkedText,
  type SpecialAround,
} from './sequences/special-around.js';
export { textGroupData, type TextGroupOptions } from './sequences/text-group-data.js';
export {
  ends,
  joined,
  NO_LABEL,
  tokenData,
  type LabelledTokens,
  type TokenBatch,
  type TokenData,
} from './sequences/token-data.js';
export {
  tagsOf,
  wordData,
  type TaggedWords,
  type WordBatch,
  type WordOptions,
} from './sequences/word-data.js';

export {
  createBatchPlan,
  createEvaluationPlan,
  restoreOrder,
  type BatchPlanOptions,
  type EvaluationPlanOptions,
  type PlannedBatch,
} from './batches/batch-plan.js';
export { packBatch, type Example, type PackedBatch } from './batches/packed-batch.js';

export { defaultMetric, getMetric, METRICS } from './metrics/get-metric.js';
export { checkInput, undefinedMetric, type Metric, type MetricInput } from './metrics/metric.js';
export {
  mostProbable,
  scoreProbabilities,
  type ProbabilityScoreInput,
} from './metrics/classes/score-probabilities.js';
export {
  entitiesOf,
  entityF1,
  entityPrecision,
  entityRecall,
  marksEntities,
  tagAccuracy,
  type Entity,
  type TagMetric,
} from './metrics/classes/entity-metrics.js';
export { perplexity, type TokenLoss } from './metrics/texts/perplexity.js';
export { getTextMetric, TEXT_METRICS } from './metrics/texts/get-text-metric.js';
export type { References, TextMetric } from './metrics/texts/text-metric.js';
export {
  fitLabelSets,
  holdsLabelLists,
  readLabelSets,
  restoreLabelSets,
  separatorInLabels,
  type LabelSetColumns,
  type LabelSetEncoder,
} from './columns/label-sets.js';
export { averagePrecision } from './metrics/labels/average-precision.js';
export { getLabelSetMetric } from './metrics/labels/get-label-set-metric.js';
export type { LabelSetInput, LabelSetMetric } from './metrics/labels/label-set-metric.js';
export { LABEL_SET_METRICS } from './metrics/labels/label-set-metrics.js';
export {
  DEFAULT_THRESHOLD,
  tuneThresholds,
  type ThresholdInput,
} from './metrics/labels/tune-thresholds.js';
export {
  documentData,
  groupRows,
  type DocumentBatch,
  type DocumentData,
} from './sequences/document-data.js';
export {
  encodePairs,
  pairTable,
  type EncodedPairs,
  type EncodePairsOptions,
  type TextPair,
} from './texts/encode-pairs.js';
export {
  rankingMetric,
  type RankedList,
  type RankingMetric,
} from './metrics/rankings/ranking-metric.js';
export { getRankingMetric } from './metrics/rankings/ranking-metrics.js';
