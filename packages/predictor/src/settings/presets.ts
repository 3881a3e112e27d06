/** Settings that go by a name, and those of the tasks. */
import type { TaskName } from '../tasks/task-names.js';
import type { Hyperparameters } from './hyperparameter-types.js';

/** AutoGluon's names for sets of settings. */
export type PresetName =
  'default' | 'high_quality' | 'medium_quality' | 'best_quality' | 'multilingual';

/** Values of the presets that differ from the defaults. */
export const PRESETS: Readonly<Record<PresetName, Partial<Hyperparameters>>> = Object.freeze({
  default: {},
  high_quality: {},
  medium_quality: {
    'model.hf_text.checkpoint_name': 'google/electra-small-discriminator',
    'optim.lr': 4e-4,
  },
  best_quality: {
    'model.hf_text.checkpoint_name': 'microsoft/deberta-v3-base',
    'env.per_gpu_batch_size': 1,
  },
  multilingual: {
    'model.hf_text.checkpoint_name': 'microsoft/mdeberta-v3-base',
    'optim.top_k': 1,
    'env.per_gpu_batch_size': 4,
  },
});

/** Values of the tasks that differ from the defaults: AutoGluon's are for whole rows. */
const LANGUAGE_MODEL: Partial<Hyperparameters> = Object.freeze({
  'optim.peft': 'lora',
  'optim.lr': 2e-4,
  'optim.lr_choice': 'single_stage',
  'optim.max_epochs': 3,
  'optim.top_k': 1,
  'optim.top_k_average_method': 'best',
  'env.batch_size': 16,
  'env.per_gpu_batch_size': 4,
});
/** Settings whose defaults depend on the task, over AutoGluon's. */
export const TASK_DEFAULTS: Readonly<Partial<Record<TaskName, Partial<Hyperparameters>>>> =
  Object.freeze({
    'causal-lm': {
      ...LANGUAGE_MODEL,
      'model.hf_text.checkpoint_name': 'HuggingFaceTB/SmolLM2-135M-Instruct',
    },
    preference: {
      ...LANGUAGE_MODEL,
      'model.hf_text.checkpoint_name': 'HuggingFaceTB/SmolLM2-135M-Instruct',
      'optim.lr': 5e-5,
      'optim.dropout': false,
    },
    grpo: {
      ...LANGUAGE_MODEL,
      'model.hf_text.checkpoint_name': 'HuggingFaceTB/SmolLM2-135M-Instruct',
      'optim.lr': 5e-5,
      'optim.dropout': false,
      'env.batch_size': 8,
      'env.per_gpu_batch_size': 1,
    },
    reward: {
      ...LANGUAGE_MODEL,
      'model.hf_text.checkpoint_name': 'HuggingFaceTB/SmolLM2-135M-Instruct',
      'optim.dropout': false,
    },
    seq2seq: {
      ...LANGUAGE_MODEL,
      'model.hf_text.checkpoint_name': 'google/flan-t5-small',
      'optim.lr': 1e-3,
    },
    ranking: {
      ...LANGUAGE_MODEL,
      'model.hf_text.checkpoint_name': 'cross-encoder/ms-marco-MiniLM-L6-v2',
      'env.inference_batch_size_ratio': 1,
    },
    embeddings: {
      ...LANGUAGE_MODEL,
      'model.hf_text.checkpoint_name': 'sentence-transformers/all-MiniLM-L6-v2',
      'model.hf_text.pooling_mode': 'mean',
      'env.batch_size': 32,
      'env.per_gpu_batch_size': 32,
      'env.inference_batch_size_ratio': 1,
    },
  });
