---
"{{package}}": minor
---

The PEFT method {{name}}
