/**
 * Chat templates by name, for base models that bring none. Each writes the turns as the makers of the
 * format describe them.
 */
import { existsSync, readFileSync } from 'node:fs';
import { didYouMean, PeftError, show } from '@peft/errors';

/** What stands for a turn that says nothing since it calls tools. */
const SAID = "(message['content'] or '')";
const CALLS =
  "{% for call in message['tool_calls'] or [] %}{{ '<tool_call>' + ((call['function'] " +
  "or call) | tojson) + '</tool_call>' }}{% endfor %}";
const TOOLS = '{{ tools | tojson }}';

const CHATML =
  `{% if tools %}{{ '<|im_start|>system\\nTools:\\n' }}${TOOLS}{{ '<|im_end|>\\n' }}{% endif %}` +
  `{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + ${SAID} }}${CALLS}` +
  `{{ '<|im_end|>\\n' }}{% endfor %}` +
  `{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}`;

const LLAMA3 =
  `{{ bos_token | default('') }}` +
  `{% if tools %}{{ '<|start_header_id|>system<|end_header_id|>\\n` +
  '\\n' +
  'Tools:\\n' +
  `' }}${TOOLS}{{ '<|eot_id|>' }}{% endif %}` +
  `{% for message in messages %}` +
  `{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + ${SAID} | trim }}${CALLS}` +
  `{{ '<|eot_id|>' }}{% endfor %}` +
  `{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}`;

const GEMMA =
  `{{ bos_token | default('') }}{% set before = namespace(text='') %}` +
  `{% for message in messages %}` +
  `{% if message['role'] == 'system' %}{% set before.text = ${SAID} | trim + '\\n\\n' %}` +
  `{% else %}{% set role = 'model' if message['role'] == 'assistant' else message['role'] %}` +
  `{{ '<start_of_turn>' + role + '\\n' + (before.text if role == 'user' else '') + ${SAID} | trim }}` +
  `{% if role == 'user' %}{% set before.text = '' %}{% endif %}${CALLS}{{ '<end_of_turn>\\n' }}` +
  `{% endif %}{% endfor %}` +
  `{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}`;

const MISTRAL =
  `{{ bos_token | default('') }}{% set before = namespace(text='') %}` +
  `{% for message in messages %}` +
  `{% if message['role'] == 'system' %}{% set before.text = ${SAID} + '\\n\\n' %}` +
  `{% elif message['role'] == 'assistant' %}{{ ' ' + ${SAID} | trim }}${CALLS}{{ eos_token | default('') }}` +
  `{% else %}{{ '[INST] ' + before.text + ${SAID} + ' [/INST]' }}{% set before.text = '' %}` +
  `{% endif %}{% endfor %}`;

const ALPACA =
  `{{ bos_token | default('') }}` +
  `{% for message in messages %}` +
  `{% if message['role'] == 'user' %}{{ '### Instruction:\\n' + ${SAID} + '\\n\\n' }}` +
  `{% elif message['role'] == 'assistant' %}{{ '### Response:\\n' + ${SAID} + (eos_token | default('')) + '\\n\\n' }}` +
  `{% else %}{{ ${SAID} + '\\n\\n' }}{% endif %}{% endfor %}` +
  `{% if add_generation_prompt %}{{ '### Response:\\n' }}{% endif %}`;

/** Jinja texts by name: `chatml`, `llama3`, `gemma`, `mistral`, `alpaca`. */
export const CHAT_TEMPLATES: Readonly<Record<string, string>> = Object.freeze({
  chatml: CHATML,
  llama3: LLAMA3,
  gemma: GEMMA,
  mistral: MISTRAL,
  alpaca: ALPACA,
});

/**
 * The Jinja text of a chat template: one of `CHAT_TEMPLATES` by name, else what a file holds.
 * @throws PEFT_CHAT_TEMPLATE_MISSING naming the nearest
 */
export function chatTemplateSource(nameOrFile: string): string {
  if (Object.hasOwn(CHAT_TEMPLATES, nameOrFile)) return CHAT_TEMPLATES[nameOrFile]!;
  if (existsSync(nameOrFile)) return readFileSync(nameOrFile, 'utf8');
  const names = Object.keys(CHAT_TEMPLATES);
  throw new PeftError(
    'PEFT_CHAT_TEMPLATE_MISSING',
    `data: there is no chat template ${show(nameOrFile)}, and no file of that name.`,
    { hint: `${didYouMean(nameOrFile, names)} Names: ${names.join(', ')}.`.trim() },
  );
}
