/**
 * Ollama's templates (Go's text/template) for the chat formats that are known. A model's own Jinja
 * text is known by what it renders, not by how it is written.
 */
import {
  CHAT_TEMPLATES,
  createChatTemplate,
  type ChatMessage,
  type ChatTemplate,
} from '@peft/data';
import type { TextTokenizer } from '@peft/data';

/** Begin and end of a text are left to Ollama, which adds them as the file says. */
const GO_TEMPLATES: Readonly<Record<string, string>> = Object.freeze({
  chatml:
    '{{ range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}<|im_start|>assistant\n',
  llama3:
    '{{ range .Messages }}<|start_header_id|>{{ .Role }}<|end_header_id|>\n\n{{ .Content }}<|eot_id|>{{ end }}' +
    '<|start_header_id|>assistant<|end_header_id|>\n\n',
  gemma:
    '{{ $system := "" }}{{ range .Messages }}{{ if eq .Role "system" }}{{ $system = .Content }}' +
    '{{ else if eq .Role "user" }}<start_of_turn>user\n{{ if $system }}{{ $system }}\n\n{{ $system = "" }}{{ end }}' +
    '{{ .Content }}<end_of_turn>\n{{ else }}<start_of_turn>model\n{{ .Content }}<end_of_turn>\n{{ end }}{{ end }}' +
    '<start_of_turn>model\n',
  mistral:
    '{{ $system := "" }}{{ range .Messages }}{{ if eq .Role "system" }}{{ $system = .Content }}' +
    '{{ else if eq .Role "user" }}[INST] {{ if $system }}{{ $system }}\n\n{{ $system = "" }}{{ end }}' +
    '{{ .Content }} [/INST]{{ else }} {{ .Content }}</s>{{ end }}{{ end }}',
  alpaca:
    '{{ range .Messages }}{{ if eq .Role "user" }}### Instruction:\n{{ .Content }}\n\n' +
    '{{ else if eq .Role "assistant" }}### Response:\n{{ .Content }}\n\n{{ else }}{{ .Content }}\n\n{{ end }}{{ end }}' +
    '### Response:\n',
});

/** Of the known formats. */
export const TEMPLATE_NAMES: readonly string[] = Object.freeze(Object.keys(GO_TEMPLATES));

const CONVERSATIONS: readonly (readonly ChatMessage[])[] = [
  [{ role: 'user', content: 'first question' }],
  [
    { role: 'system', content: 'a system' },
    { role: 'user', content: 'first question' },
    { role: 'assistant', content: 'first answer' },
    { role: 'user', content: 'second question' },
  ],
];

/** A known format. */
export interface KnownTemplate {
  readonly name: string;
  readonly go: string;
}

/** The known format that renders the same conversations; undefined for another one. */
export function knownTemplate(
  template: ChatTemplate,
  tokenizer: Pick<TextTokenizer, 'specialIds' | 'idToToken'>,
): KnownTemplate | undefined {
  const found = Object.entries(GO_TEMPLATES).find(([name]) => {
    const known = createChatTemplate(CHAT_TEMPLATES[name]!, tokenizer);
    return CONVERSATIONS.every(
      (messages) => rendered(template, messages) === rendered(known, messages),
    );
  });
  return found && { name: found[0], go: found[1] };
}

/** undefined where a template refuses the conversation, which then makes it another one. */
function rendered(template: ChatTemplate, messages: readonly ChatMessage[]): string | undefined {
  try {
    return template.render(messages, { addGenerationPrompt: true });
  } catch {
    return undefined;
  }
}
