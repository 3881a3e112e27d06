export function addonPath(sanitize?: boolean): string;
