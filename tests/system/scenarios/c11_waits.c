/* libfaketime gives a process another clock and corrects its waits for it, but those of C11's threads it does not know, and librdkafka
   waits by them: at "+2h" each wait of a second would last two hours, which with a real clock it does not. In glibc these are the same
   condition variables under another name, so such a wait becomes one that libfaketime corrects. */
#include <errno.h>
#include <pthread.h>
#include <threads.h>

int cnd_timedwait(cnd_t *condition, mtx_t *mutex, const struct timespec *until) {
    switch (pthread_cond_timedwait((pthread_cond_t *)condition, (pthread_mutex_t *)mutex, until)) {
    case 0:
        return thrd_success;
    case ETIMEDOUT:
        return thrd_timedout;
    default:
        return thrd_error;
    }
}
