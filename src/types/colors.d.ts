export function bold(text: string): string;
export function green(text: string): string;
export function red(text: string): string;
export function yellow(text: string): string;
export function setColorEnabled(enabled: boolean): void;
