import { ActionIcon } from '@mantine/core';
import { IconMaximize, IconMinus, IconPlus } from '@tabler/icons-react';
import { Panel, useReactFlow } from '@xyflow/react';
import type { ReactNode } from 'react';
import classes from './graph.module.css';

export function Controls({ onShowAll }: { onShowAll: () => void }) {
  const flow = useReactFlow();
  return (
    <Panel position="bottom-left" className={classes.controls}>
      <Control label="Nearer" onClick={() => void flow.zoomIn({ duration: 150 })} icon={<IconPlus size={14} />} />
      <Control label="Farther" onClick={() => void flow.zoomOut({ duration: 150 })} icon={<IconMinus size={14} />} />
      <Control label="All of the graph" onClick={onShowAll} icon={<IconMaximize size={14} />} />
    </Panel>
  );
}

function Control({ label, onClick, icon }: { label: string; onClick: () => void; icon: ReactNode }) {
  return (
    <ActionIcon variant="default" size="sm" aria-label={label} title={label} onClick={onClick}>
      {icon}
    </ActionIcon>
  );
}
