/** The settings of a fit by AutoGluon's keys, and what each means. */
import type { RankingLoss } from '@peft/trainer';
import type { RewardScale, Truncation } from '@peft/preference';
import type { KnownMethodName } from '@peft/methods';
import type { EngineName } from '../engine/engine-choice.js';

/** Every setting by its dotted key. */
export interface Hyperparameters {
  /** Folder or hub id of the checkpoint. */
  'model.hf_text.checkpoint_name': string;
  /** Branch, tag or commit of the checkpoint on the hub, as in `NAME@REVISION`. null: `main`. */
  'model.hf_text.revision': string | null;
  /** `cls`: first token. `mean`: mean over tokens. */
  'model.hf_text.pooling_mode': 'cls' | 'mean';
  /** Tokens of a row at most, special ones included. */
  'model.hf_text.max_text_len': number;
  /** Tokens of a target at most, and of a text that is written for scores and predictions. */
  'model.hf_text.max_target_len': number;
  /** Embeddings: the first numbers that predictions have. null: all. */
  'model.hf_text.truncate_dim': number | null;
  /** Recompute each block in the backward pass. `auto`: when the batch would not fit. */
  'model.hf_text.gradient_checkpointing': boolean | 'auto';
  /**
   * Quantise the linear maps of the base while it is read: `nf4`, `fp4` (double quantisation) or
   * `int8`; or round all of its matrices: `bf16`, `f16`. What trains stays float32. `auto`: `nf4`
   * when the run would not fit the memory without. null: as the checkpoint is.
   */
  'model.hf_text.quantization': 'nf4' | 'fp4' | 'int8' | 'bf16' | 'f16' | 'auto' | null;
  /** Read weights tensor by tensor. Always so here; accepted for AutoGluon's sake. */
  'model.hf_text.low_cpu_mem_usage': boolean;
  /**
   * The word table, and an output layer of its own, get rows until their number is a multiple of it
   * (transformers' `pad_to_multiple_of`). null: no more rows than tokens.
   */
  'model.hf_text.pad_vocabulary_to_multiple_of': number | null;
  /** AutoGluon's word-level augmentation, which this toolkit does not have: only 0. */
  'model.hf_text.text_trivial_aug_maxscale': number;
  /**
   * Chat template instead of the checkpoint's own: `chatml`, `llama3`, `gemma`, `mistral`, `alpaca` or
   * a file with Jinja; saved with the model. null: the checkpoint's.
   */
  'data.chat_template': string | null;
  /**
   * Tokens that the tokenizer gets, saved with the model; their rows train whatever the method.
   */
  'data.added_tokens': readonly string[];
  /**
   * Preferences: which of its tokens a prompt with an answer keeps that is longer than
   * `max_text_len`.
   */
  'data.truncation': Truncation;
  /** Which of the assistant's turns of a conversation are learnt: all, or the last. */
  'data.chat_answers': 'all' | 'last';
  /** The class whose probability `roc_auc` and `f1` look at; default the last in sorted order. */
  'data.pos_label': string | number | boolean | null;
  /**
   * Two text columns are a pair, joined as the tokeniser joins pairs (a cross-encoder), the longer
   * one cut first; else texts are joined as AutoGluon does.
   */
  'data.text_pairs': boolean;
  /**
   * What stands between the labels of a text, `|` in `news|sports`, in multi-label classification.
   * null: the column holds lists.
   */
  'data.label_separator': string | null;
  /**
   * Multi-label classification: a row has a label from that probability on. `tuned`: of each label
   * the one with the best F1 on the validation rows, found after the training.
   */
  'data.label_threshold': number | 'tuned';
  /**
   * Method: `bit_fit`, `norm_fit`, `lora`, `lora_bias`, `lora_norm`, `ia3`, `ia3_bias`, `ia3_norm`,
   * `ia3_lora` …; null trains everything.
   */
  'optim.peft': KnownMethodName | null;
  'optim.lora.r': number;
  'optim.lora.alpha': number;
  /** Prefix regular expressions on the names of layers that LoRA and IA3 wrap. */
  'optim.lora.filter': readonly string[];
  'optim.lora.module_filter': readonly string[] | null;
  /**
   * Where the default filter names no layer of the family (DistilBERT, GPT-2, Llama), wrap its
   * queries and values. false: AutoGluon's own behaviour, the head alone trains there.
   */
  'optim.lora.family_targets': boolean;
  /** `…_8bit` keep their state in 8 bits. */
  'optim.optim_type':
    'adamw' | 'adam' | 'sgd' | 'adafactor' | 'lion' | 'adamw_8bit' | 'adam_8bit' | 'lion_8bit';
  /**
   * Where AdamW, Adam, SGD and Lion keep their state and compute: in host memory, or on the
   * engine's device, a GPU for instance. The others are on the host alone.
   */
  'optim.state_device': 'host' | 'device';
  /**
   * Megabytes of optimiser state that stay in memory; the rest lies in a page file in the system's
   * temporary folder. With `state_device` they stay on the device, and the rest lies in host
   * memory. null: all.
   */
  'optim.resident_state_mb': number | null;
  'optim.lr': number;
  'optim.weight_decay': number;
  /** Each layer further from the head has its rate multiplied by it. */
  'optim.lr_decay': number;
  'optim.lr_choice': 'layerwise_decay' | 'two_stages' | 'single_stage';
  'optim.lr_mult': number;
  'optim.lr_schedule':
    'cosine_decay' | 'polynomial_decay' | 'linear_decay' | 'multi_step' | 'constant';
  /** Last rate of `polynomial_decay`. */
  'optim.end_lr': number;
  /** Fraction of the steps below 1, else their number. */
  'optim.warmup_steps': number;
  'optim.max_epochs': number;
  /** −1: no limit. */
  'optim.max_steps': number;
  'optim.patience': number;
  /** Validation every so many epochs (below or at 1), else every so many micro-batches. */
  'optim.val_check_interval': number;
  'optim.gradient_clip_val': number;
  'optim.top_k': number;
  'optim.top_k_average_method': 'greedy_soup' | 'uniform_soup' | 'best';
  /**
   * Multi-label classification: how much a positive counts against a negative, one number for all
   * labels, or one for each in the order of `classLabels`; `balanced`: negatives / positives of the
   * training rows. null: 1.
   */
  'optim.positive_weights': 'balanced' | number | readonly number[] | null;
  /**
   * Classification: how much each class counts, in the order of `classLabels`; `balanced`: rows /
   * (classes · rows of the class). null: 1.
   */
  'optim.class_weights': 'balanced' | readonly number[] | null;
  /** Focus γ of the focal loss, which lets easy rows count less. 0: cross entropy. */
  'optim.focal_gamma': number;
  /** α of NEFTune: noise on the embeddings of tokens while training. 0: none. */
  'optim.neftune_alpha': number;
  /** LoRA+: the rate of LoRA's B is that many times the others'. 1: plain LoRA. */
  'optim.lora_plus_ratio': number;
  /**
   * Embeddings that serve when they are cut, too: the loss is summed over those cut to these
   * dimensions, and each is scored. null: the whole embedding alone.
   */
  'optim.matryoshka_dimensions': readonly number[] | null;
  /** How much each of these dimensions counts. null: 1. */
  'optim.matryoshka_weights': readonly number[] | null;
  /**
   * Ranking: `pointwise` compares each pair with its relevance, `margin` two documents of a query,
   * `list` all of them.
   */
  'optim.ranking_loss': RankingLoss;
  /** How far a better document's score is to be ahead, with the loss `margin`. */
  'optim.ranking_margin': number;
  /**
   * Preferences: DPO's `sigmoid`, `hinge`, `ipo`, `robust` …, `cpo`, `simpo`, `orpo`, or `kto` and
   * `apo_zero_unpaired` of single answers.
   */
  'optim.preference_loss': string;
  /** Preferences: β, how much a reward weighs against the reference. */
  'optim.preference_beta': number;
  /** Preferences: γ of SimPO, what the chosen answer is to be ahead by. */
  'optim.preference_margin': number;
  /**
   * Preferences: weight of the likelihood of the chosen answers (RPO). null: the loss's own, 1 for
   * `cpo` and `orpo`, else 0.
   */
  'optim.likelihood_weight': number | null;
  /** Preferences: how much a desirable answer counts with `kto`. */
  'optim.desirable_weight': number;
  /** Preferences: how much an undesirable answer counts with `kto`. */
  'optim.undesirable_weight': number;
  /** GRPO: completions that are drawn to each prompt. */
  'optim.group_size': number;
  /** GRPO: how tokens count: `dapo`, `grpo` or `dr_grpo`. */
  'optim.policy_loss': string;
  /** GRPO: β of the penalty for leaving the reference. 0: none. */
  'optim.kl_weight': number;
  /** GRPO: the deviation that advantages are divided by, of the `group`, the `batch`, or `none`. */
  'optim.reward_scale': RewardScale;
  /** GRPO: steps that learn from the same completions. */
  'optim.policy_updates': number;
  /** GRPO: ε, how far below 1 a ratio counts; it leaves 1 where `policy_updates` is above 1. */
  'optim.clip_low': number;
  /** GRPO: ε', how far above 1 a ratio counts. null: as `clip_low`. */
  'optim.clip_high': number | null;
  /**
   * Preferences: folder where the reference's log-probabilities are kept for further runs on the same
   * base. null: in memory.
   */
  'optim.reference_cache': string | null;
  /** Reward models: weight of what keeps scores around 0. */
  'optim.center_rewards': number;
  /** Whether dropout, of model and adapter, is live in training. Default false for preferences. */
  'optim.dropout': boolean;
  /**
   * Share ε of each label that is spread over all classes; in multi-label classification y·(1 − ε) +
   * ε/2 stands for y.
   */
  'optim.label_smoothing': number;
  'optim.log_every_n_steps': number;
  /** Rows per optimiser step. */
  'env.batch_size': number;
  /** Rows per forward pass. `auto`: 8, or as many as fit the memory. */
  'env.per_gpu_batch_size': number | 'auto';
  /** Rows per forward pass of evaluation and prediction, times `per_gpu_batch_size`. */
  'env.inference_batch_size_ratio': number;
  /**
   * `auto`: the engine's default. `32`: float32. `bf16` and AutoGluon's `16-mixed`: bfloat16
   * products with float32 accumulation.
   */
  'env.precision': 'auto' | 'bf16' | '32';
  /** `auto`, an engine of this toolkit, or one that a module makes known. */
  'env.engine': 'auto' | EngineName;
  /** Threads of the native engine; 0: all cores. */
  'env.num_threads': number;
  /** Gigabytes that the process may take. null: what is free on the machine. */
  'env.memory_gb': number | null;
  'env.seed': number;
}
/** The key of a setting. */
export type HyperparameterKey = keyof Hyperparameters;
