export const ROOT: string;
export const GROUPS: readonly string[];
export function packageFolders(root?: string): string[];
export function folderOf(name: string): string;
export function isMethodFolder(folder: string): boolean;
