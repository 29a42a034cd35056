/** Lays out graphs that take so long that the page would stand still. */
import { place, type Shape } from './layout';

export interface LayoutRequest {
  id: number;
  shape: Shape;
}

self.onmessage = ({ data }: MessageEvent<LayoutRequest>) => {
  self.postMessage({ id: data.id, placing: place(data.shape) });
};
