import { Component, type ComponentChildren } from 'preact';
import { ApiError } from '../api/client.ts';
import { forgetAnswers } from '../state/use-resource.ts';
import { ErrorNote } from './bits.tsx';

/** Around a page: when showing it fails, that is said in its place, and what stands around it and the other pages go on. */
export class Boundary extends Component<{ children: ComponentChildren }, { error: ApiError | null }> {
  override state = { error: null as ApiError | null };

  override componentDidCatch(error: unknown) {
    console.error(error);
    // An answer that could not be shown must not be there again at once.
    forgetAnswers();
    this.setState({ error: new ApiError(0, 'unexpected', String(error)) });
  }

  render() {
    const { error } = this.state;
    return error ? <ErrorNote error={error} retry={() => this.setState({ error: null })} /> : this.props.children;
  }
}
