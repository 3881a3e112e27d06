{
  "name": "{{package}}",
  "version": "0.0.0",
  "description": "The PEFT method {{name}}",
  "license": "Apache-2.0",
  "type": "module",
  "sideEffects": false,
  "engines": {
    "node": ">=20.19"
  },
  "exports": {
    ".": {
      "types": "./dist/index.d.ts",
      "default": "./dist/index.js"
    }
  },
  "files": [
    "dist",
    "README.md"
  ],
  "scripts": {
    "build": "tsc -p tsconfig.build.json",
    "typecheck": "tsc -p tsconfig.json",
    "test": "vitest run",
    "changeset": "changeset",
    "prepublishOnly": "npm run build"
  },
  "peerDependencies": {
    "@peft/core": "{{range of @peft/core}}",
    "@peft/errors": "{{range of @peft/errors}}",
    "@tensorflow/tfjs": "{{range of @tensorflow/tfjs}}"
  },
  "devDependencies": {
    "@changesets/cli": "{{range of @changesets/cli}}",
    "@peft/core": "{{range of @peft/core}}",
    "@peft/errors": "{{range of @peft/errors}}",
    "@peft/testing": "{{range of @peft/testing}}",
    "@tensorflow/tfjs": "{{range of @tensorflow/tfjs}}",
    "@types/node": "{{range of @types/node}}",
    "typescript": "{{range of typescript}}",
    "vitest": "{{range of vitest}}"
  }
}
