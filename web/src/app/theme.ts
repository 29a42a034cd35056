import {
  type BadgeProps,
  type ButtonProps,
  createTheme,
  type InputProps,
  type MantineColorsTuple,
  type ModalProps,
  type PaperProps,
  type TableProps,
  type TooltipProps,
} from '@mantine/core';

const iris: MantineColorsTuple = [
  '#eef0ff', '#dcdffb', '#b6bcf1', '#8e97e8', '#6c77e0', '#5762dc', '#4c57da', '#3d48c2', '#343fae', '#29359a',
]; // biome-ignore format: one look shows that there are ten
const red: MantineColorsTuple = [
  '#fff0ef', '#fddcda', '#f8b5b2', '#f38c88', '#ff7069', '#d93a35', '#c9302c', '#b42723', '#9c1f1c', '#841715',
]; // biome-ignore format: one look shows that there are ten
const night: MantineColorsTuple = [
  '#e6e8ee',
  '#b9bdc9',
  '#9297a6',
  '#6b7080',
  '#3a3f4e',
  '#2b2f3c',
  '#20242f',
  '#181b24',
  '#12151c',
  '#0c0e13',
];

/** Say how components look that do not say it themselves. By their types: `Modal.extend` would load dialogs with the first page. */
const by = <Props>(defaultProps: Partial<Props>) => ({ defaultProps });

/** Small, quiet, dense: the colours that shout are those of states (styles.css). */
export const theme = createTheme({
  primaryColor: 'iris',
  primaryShade: { light: 6, dark: 5 },
  colors: { iris, red, dark: night },
  fontFamily: "'Inter Variable', system-ui, sans-serif",
  fontFamilyMonospace: "'JetBrains Mono', ui-monospace, Menlo, Consolas, monospace",
  fontSizes: { xs: '11.5px', sm: '13px', md: '14px', lg: '16px', xl: '20px' },
  headings: {
    fontWeight: '600',
    sizes: { h1: { fontSize: '20px' }, h2: { fontSize: '16px' }, h3: { fontSize: '14px' } },
  },
  defaultRadius: 'md',
  cursorType: 'pointer',
  autoContrast: true,
  components: {
    Button: by<ButtonProps>({ size: 'xs' }),
    Badge: by<BadgeProps>({ variant: 'light', tt: 'none', fw: 500 }),
    Input: by<InputProps>({ size: 'sm' }),
    Table: by<TableProps>({ verticalSpacing: 8, horizontalSpacing: 'sm' }),
    Paper: by<PaperProps>({ withBorder: true, radius: 'md' }),
    SegmentedControl: { styles: { root: { background: 'var(--hover)', border: '1px solid var(--line)' } } },
    Tooltip: by<TooltipProps>({ openDelay: 300, withArrow: true }),
    Modal: {
      ...by<ModalProps>({
        centered: true,
        // What is closed is gone: reopened while it fades away, a form would still hold what was typed into it.
        transitionProps: { transition: 'fade-down', duration: 200, exitDuration: 0 },
        overlayProps: { backgroundOpacity: 0.45, blur: 2 },
        closeButtonProps: { 'aria-label': 'Close' },
      }),
      styles: { title: { fontWeight: 600 } },
    },
  },
});
