/* A bare-metal guest for simulations with the real machine: it increments a counter for each new request
 * frame and answers with the value, as the toy machine does. In S-mode on the built-in SBI, without memory
 * management. A periodic timer and clock reads are mixed into a hash in memory, so that a replica whose
 * time differs by one tick has a different digest. So are its host's answers to a question about each new
 * value, one at a time. */

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

enum { CLIENTS = 4, QUEUE = 8, FRAME = 128, HEADER = 12, ETHERNET = 14 };
enum { RECEIVE = 0, TRANSMIT = 1, POWER_BUTTON = 0xff };

#define PLIC 0x0c000000UL
#define VIRTIO 0x10001000UL
#define REQUESTER 0x102000UL
#define REQUESTER_LINE 12
#define TIMER_PERIOD 100000UL /* 10 ms */

struct descriptor { u64 address; u32 length; u16 flags, next; };
struct available { u16 flags, index, ring[QUEUE], event; };
struct used_element { u32 id, length; };
struct used { u16 flags, index; struct used_element ring[QUEUE]; u16 event; };

struct queue {
	struct descriptor descriptors[QUEUE] __attribute__((aligned(16)));
	struct available available __attribute__((aligned(2)));
	struct used used __attribute__((aligned(4)));
	u16 seen;
};

static struct queue queues[2];
static u8 frames[2][QUEUE][HEADER + FRAME];
static u64 device, counter;
static struct { u64 operation, value; } answered[CLIENTS];
volatile u64 clock_hash, answers_hash;
static volatile u64 host_question, host_answer;
static u64 asked, taken, asked_about;

static volatile u32 *reg(u64 address) { return (volatile u32 *)address; }
static void fence(void) { __asm__ volatile("fence" ::: "memory"); }
static u64 now(void) { u64 time; __asm__ volatile("rdtime %0" : "=r"(time)); return time; }

static void set_timer(u64 when)
{
	register u64 a0 __asm__("a0") = when;
	register u64 a6 __asm__("a6") = 0;
	register u64 a7 __asm__("a7") = 0x54494d45; /* "TIME" */
	__asm__ volatile("ecall" : "+r"(a0) : "r"(a6), "r"(a7) : "a1", "memory");
}

static void power_off(void)
{
	register u64 a0 __asm__("a0") = 0;
	register u64 a1 __asm__("a1") = 0;
	register u64 a6 __asm__("a6") = 0;
	register u64 a7 __asm__("a7") = 0x53525354; /* "SRST" */
	__asm__ volatile("ecall" : "+r"(a0), "+r"(a1) : "r"(a6), "r"(a7) : "memory");
}

static void set_up_queue(u32 number)
{
	struct queue *queue = &queues[number];
	u64 parts[3] = { (u64)queue->descriptors, (u64)&queue->available, (u64)&queue->used };
	*reg(device + 0x030) = number;
	*reg(device + 0x038) = QUEUE;
	for (u32 part = 0; part < 3; part++) {
		*reg(device + 0x080 + 16 * part) = (u32)parts[part];
		*reg(device + 0x084 + 16 * part) = (u32)(parts[part] >> 32);
	}
	*reg(device + 0x044) = 1;
}

static void offer(u32 number, u16 slot)
{
	struct queue *queue = &queues[number];
	queue->available.ring[queue->available.index % QUEUE] = slot;
	fence();
	queue->available.index++;
	fence();
	*reg(device + 0x050) = number;
}

static void set_up_device(void)
{
	u32 line = 0;
	for (u32 slot = 0; slot < 8; slot++) {
		u64 base = VIRTIO + 0x1000UL * slot;
		if (*reg(base) == 0x74726976 && *reg(base + 0x008) == 1) {
			device = base;
			line = slot + 1;
		}
	}
	*reg(device + 0x070) = 0;
	*reg(device + 0x070) = 1 | 2;
	*reg(device + 0x024) = 1; /* VIRTIO_F_VERSION_1 and nothing else */
	*reg(device + 0x020) = 1;
	*reg(device + 0x024) = 0;
	*reg(device + 0x020) = 0;
	*reg(device + 0x070) = 1 | 2 | 8;
	set_up_queue(RECEIVE);
	set_up_queue(TRANSMIT);
	*reg(device + 0x070) = 1 | 2 | 8 | 4;
	for (u16 slot = 0; slot < QUEUE; slot++) {
		queues[RECEIVE].descriptors[slot] =
			(struct descriptor){ (u64)frames[RECEIVE][slot], HEADER + FRAME, 2, 0 };
		offer(RECEIVE, slot);
	}
	*reg(PLIC + 4 * line) = 1;
	*reg(PLIC + 4 * REQUESTER_LINE) = 1;
	*reg(PLIC + 0x2000 + 0x80) = 1u << line | 1u << REQUESTER_LINE;
	*reg(PLIC + 0x200000 + 0x1000) = 0;
}

static u64 word_at(const u8 *bytes)
{
	u64 word = 0;
	for (int at = 7; at >= 0; at--)
		word = word << 8 | bytes[at];
	return word;
}

static void put_word(u8 *bytes, u64 word)
{
	for (int at = 0; at < 8; at++, word >>= 8)
		bytes[at] = (u8)word;
}

static void answer(const u8 *request)
{
	u8 client = request[ETHERNET];
	u64 operation = word_at(request + ETHERNET + 1);
	if (client == POWER_BUTTON)
		power_off();
	if (client >= CLIENTS || operation < answered[client].operation)
		return;
	if (operation > answered[client].operation) {
		answered[client].operation = operation;
		answered[client].value = ++counter;
	}
	u16 slot = queues[TRANSMIT].available.index % QUEUE;
	u8 *frame = frames[TRANSMIT][slot] + HEADER;
	for (int at = 0; at < 6; at++) {
		frame[at] = request[6 + at];
		frame[6 + at] = request[at];
	}
	frame[12] = request[12];
	frame[13] = request[13];
	frame[ETHERNET] = client;
	put_word(frame + ETHERNET + 1, operation);
	put_word(frame + ETHERNET + 9, answered[client].value);
	queues[TRANSMIT].descriptors[slot] =
		(struct descriptor){ (u64)frames[TRANSMIT][slot], HEADER + ETHERNET + 17, 0, 0 };
	offer(TRANSMIT, slot);
}

static void serve(void)
{
	u32 line = *reg(PLIC + 0x200000 + 0x1004);
	if (line) {
		*reg(device + 0x064) = *reg(device + 0x060);
		*reg(PLIC + 0x200000 + 0x1004) = line;
	}
	struct queue *queue = &queues[RECEIVE];
	while (queue->seen != *(volatile u16 *)&queue->used.index) {
		fence();
		u16 slot = (u16)queue->used.ring[queue->seen++ % QUEUE].id;
		answer(frames[RECEIVE][slot] + HEADER);
		offer(RECEIVE, slot);
	}
}

static void ask_host(void)
{
	volatile u64 *requester = (volatile u64 *)REQUESTER;
	if (requester[4] < asked)
		return;
	if (taken < asked) {
		requester[4] = 0;
		taken = asked;
		answers_hash = (answers_hash ^ host_answer) * 0x100000001b3UL;
	}
	if (asked_about == counter)
		return;
	asked_about = counter;
	host_question = counter;
	requester[0] = (u64)&host_question;
	requester[1] = sizeof host_question;
	requester[2] = (u64)&host_answer;
	requester[3] = 0;
	asked++;
}

void main(void)
{
	u64 next = now() + TIMER_PERIOD;
	set_up_device();
	set_timer(next);
	/* Interrupts stay masked: WFI wakes on a pending one, and the loop looks for the cause. */
	__asm__ volatile("csrw sie, %0" :: "r"(1UL << 9 | 1UL << 5));
	for (;;) {
		__asm__ volatile("wfi" ::: "memory");
		u64 time = now();
		clock_hash = (clock_hash ^ time) * 0x100000001b3UL;
		if (time >= next) {
			next = time + TIMER_PERIOD;
			set_timer(next);
		}
		serve();
		ask_host();
	}
}
