/**
 * Every pod pays for itself. Each pod has an account: what was done for it, on which event loop,
 * how long that work had to wait, and what it may have. On an event loop pods take turns; what a
 * pod wants beyond its turn waits while the others have theirs, and new connections go to loops
 * where no neighbour is busy, while there are such. A watch looks at what buffers hold and cuts the
 * heaviest pod before memory ends. Shares belong to their loop; accounts are read by any thread.
 * {@link dev.weir.agent.fairness.Fairness} is the door.
 */
@NullMarked
package dev.weir.agent.fairness;

import org.jspecify.annotations.NullMarked;
