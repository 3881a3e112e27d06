/** Any adapter that can be merged as plain LoRA of some rank, for everyone who loads LoRA. */
import { saveAdapter } from '@peft/core';
import { lora as loraMethod, nearestLora } from '@peft/lora';
import { defineFormat } from '../../format.js';
import { unsupported } from '../unsupported.js';

/** Beside the source's own adapters, while it is written. */
const NEAREST = 'nearest-lora';

/** `lora`: the LoRA of a rank that comes nearest to the adapter's update. */
export const lora = defineFormat({
  name: 'lora',
  summary: "the LoRA of a --rank that comes nearest to any adapter's change, in PEFT's layout",
  types: [],
  isAdapter: true,
  hasRank: true,
  prepare({ model, base }, { rank }) {
    const active = model.activeAdapters;
    if (active.length === 0)
      throw unsupported('lora', 'needs an adapter', 'name one with --adapter');
    model.checkMergeable();
    return {
      type: undefined,
      totalBytes: 1,
      warnings: [],
      async write(folder, tools) {
        const onSite = (path: string): void => tools.tensor(path, 0);
        const { adapter, sites } = nearestLora(model, NEAREST, { rank: rank!, onSite });
        try {
          for (const site of sites) tools.approximated(site);
          await saveAdapter(model, adapter.name, folder, {
            baseModel: base.reference,
            revision: base.revision,
            allowUntrained: true,
          });
        } finally {
          model.deleteAdapter(NEAREST);
          model.setActiveAdapters(...active);
        }
      },
      reopen: (folder) => ({ adapterFolder: folder, methods: [loraMethod] }),
    };
  },
});
