package loadsim

import (
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/go-calm/calm/backpressure"
)

// Run simulates a scenario and returns what happened in each phase. The same scenario gives the
// same results, to the bit, if its limiter is given an algorithm of its own each time. A minute of
// ten thousand requests a second takes about a second. Run panics if the scenario makes no sense: that is
// a mistake in the program.
func Run(s Scenario) []Result {
	s.check()
	// The clients draw from a generator of their own: what they do does not depend on the limiter.
	r := &run{s: s, server: rand.New(rand.NewPCG(s.Seed, 1)), clients: rand.New(rand.NewPCG(s.Seed, 2))}
	if s.Limiter != nil {
		r.lim = backpressure.NewAdmission(s.Seed, s.Limiter...)
	}
	if len(s.Tenants) == 0 {
		r.s.Tenants = []Tenant{{Load: 1}}
	}
	return r.run()
}

// run is a simulation under way.
type run struct {
	s               Scenario
	server, clients *rand.Rand
	lim             *backpressure.Admission
	events          events
	now             time.Duration

	phase   int
	result  *Result
	results []Result

	slots    int // that work
	slow     float64
	busy     int
	refusing time.Duration // work that refusals cost and that is not yet begun
	queue    []*job        // at the server
	first    int           // of the queue
}

// job is a request.
type job struct {
	tenant   int
	came     time.Duration
	deadline time.Duration
	retries  int // left
	work     time.Duration
	permit   backpressure.Permit
}

func (r *run) run() []Result {
	var end time.Duration
	for i, p := range r.s.Phases {
		r.events.add(end, func() { r.enter(i) })
		res := Result{Start: end, End: end + p.For, Seconds: make([]Second, max(1, (p.For+time.Second-1)/time.Second))}
		for _, t := range r.s.Tenants {
			res.Tenants = append(res.Tenants, TenantResult{ID: t.ID})
		}
		r.results = append(r.results, res)
		end += p.For
	}
	for e, ok := r.events.next(end); ok; e, ok = r.events.next(end) {
		r.now = e.at
		e.do()
	}
	r.leave()
	return r.results
}

// enter begins a phase.
func (r *run) enter(i int) {
	if i > 0 {
		r.leave()
	}
	p := r.s.Phases[i]
	r.phase, r.result = i, &r.results[i]
	r.slots, r.slow = max(0, r.s.Slots-p.Lost), 1
	if p.Slow > 0 {
		r.slow = p.Slow
	}
	r.work()
	for t := range r.s.Tenants {
		if r.s.Clients == 0 {
			r.arrivals(t, i)
		}
	}
	if i == 0 {
		for c := range r.s.Clients {
			r.pause(c % len(r.s.Tenants))
		}
	}
}

// leave ends the phase.
func (r *run) leave() {
	if r.result == nil {
		return
	}
	if r.lim != nil {
		r.result.Limit = r.lim.Stats().Limit
	}
	r.result.finish(r.slots, time.Duration(float64(r.s.Mean)*r.slow))
}

// capacity is what all slots can do a second.
func (r *run) capacity() float64 { return float64(r.s.Slots) / r.s.Mean.Seconds() }

// load is that of the phase now.
func (r *run) load() float64 {
	p := r.s.Phases[r.phase]
	if p.To == 0 {
		return p.Load
	}
	return p.Load + (p.To-p.Load)*float64(r.now-r.result.Start)/float64(p.For)
}

// rate is how much a tenant sends a second now.
func (r *run) rate(tenant int) float64 {
	return r.load() * r.s.Tenants[tenant].Load * r.capacity()
}

// arrivals sends a tenant's next request after an exponential pause.
func (r *run) arrivals(tenant, phase int) {
	p := r.s.Phases[phase]
	most := max(p.Load, p.To) * r.s.Tenants[tenant].Load * r.capacity()
	if most <= 0 {
		return
	}
	r.events.add(r.now+time.Duration(r.clients.ExpFloat64()/most*float64(time.Second)), func() {
		if r.phase != phase {
			return
		}
		if u := r.clients.Float64(); u*most < r.rate(tenant) { // thinning
			r.request(tenant)
		}
		r.arrivals(tenant, phase)
	})
}

// pause lets a client rest before its next request, so long that all clients together would send
// the phase's load if they were answered at once. In a phase without load it rests to the end.
func (r *run) pause(tenant int) {
	phase, p := r.phase, r.s.Phases[r.phase]
	share := r.s.Tenants[tenant].Load * r.capacity() * float64(len(r.s.Tenants)) / float64(r.s.Clients)
	most := max(p.Load, p.To) * share
	if most <= 0 {
		r.events.add(r.result.End, func() { r.pause(tenant) })
		return
	}
	r.events.add(r.now+time.Duration(r.clients.ExpFloat64()/most*float64(time.Second)), func() {
		if p.To != 0 && r.phase == phase && r.clients.Float64()*most >= r.load()*share { // thinning
			r.pause(tenant)
			return
		}
		r.request(tenant)
	})
}

func (r *run) request(tenant int) {
	j := &job{tenant: tenant, came: r.now, retries: r.s.Retries}
	if r.s.Deadline > 0 {
		j.deadline = r.now + r.s.Deadline
	}
	r.result.Requests++
	r.result.Tenants[tenant].Requests++
	r.result.second(r.now).Requests++
	r.attempt(j)
}

func (r *run) attempt(j *job) {
	r.result.Offered++
	r.result.second(r.now).Offered++
	if r.lim == nil {
		r.admit(j)
		return
	}
	answered := false
	ask := backpressure.Request{Tenant: r.s.Tenants[j.tenant].ID, Priority: r.s.Tenants[j.tenant].Priority, Deadline: j.deadline}
	giveUp := r.lim.Ask(r.now, ask, func(p backpressure.Permit, err error) {
		answered = true
		r.events.add(r.now, func() { // not at once: the limiter is still at it
			if err != nil {
				r.refused(j, err)
				return
			}
			j.permit = p
			r.admit(j)
		})
	})
	if !answered && j.deadline > 0 {
		r.events.add(j.deadline, func() {
			if !answered {
				giveUp(r.now)
				r.result.GaveUp++
				r.over(j)
			}
		})
	}
}

// over ends a request: a client may go on.
func (r *run) over(j *job) {
	if r.s.Clients > 0 {
		r.pause(j.tenant)
	}
}

func (r *run) refused(j *job, err error) {
	r.result.Refused++
	if r.s.Refusing > 0 {
		r.refusing += time.Duration(r.s.Refusing * float64(r.s.Mean))
		r.work()
	}
	switch {
	case r.s.Polite:
		wait := time.Second
		var o *backpressure.Overload
		if errors.As(err, &o) && o.RetryAfter > 0 {
			wait = o.RetryAfter
		}
		r.events.add(r.now+wait, func() {
			if r.s.Deadline > 0 {
				j.came, j.deadline = r.now, r.now+r.s.Deadline
			}
			r.attempt(j)
		})
	case j.retries > 0 && (j.deadline == 0 || r.now < j.deadline):
		j.retries--
		r.events.add(r.now, func() { r.attempt(j) })
	default:
		r.over(j)
	}
}

func (r *run) admit(j *job) {
	j.work = min(max(r.s.Service(r.server), 0), maxWork)
	r.queue = append(r.queue, j)
	r.work()
}

// work starts what it can: refusals first, for they are done before anything is let in.
func (r *run) work() {
	for r.busy < r.slots {
		if r.refusing > 0 {
			d := min(r.refusing, r.s.Mean)
			r.refusing -= d
			r.occupy(d, func() {})
			continue
		}
		if r.first == len(r.queue) {
			r.queue, r.first = r.queue[:0], 0
			return
		}
		j := r.queue[r.first]
		r.queue[r.first] = nil
		r.first++
		if r.first > 1024 && r.first*2 > len(r.queue) {
			r.queue = slices.Delete(r.queue, 0, r.first)
			r.first = 0
		}
		r.result.begun++
		r.result.drawn += r.slowed(j.work)
		r.occupy(j.work, func() { r.served(j) })
	}
}

// slowed is how long work takes now.
func (r *run) slowed(d time.Duration) time.Duration {
	return time.Duration(min(float64(d)*r.slow, float64(maxWork)))
}

func (r *run) occupy(d time.Duration, then func()) {
	r.busy++
	d = r.slowed(d)
	r.result.work += d
	r.events.add(r.now+d, func() {
		r.busy--
		then()
		r.work()
	})
}

func (r *run) served(j *job) {
	outcome := backpressure.Done
	if j.deadline > 0 && r.now > j.deadline {
		outcome = backpressure.Dropped
		r.result.Wasted++
	} else {
		r.result.Good++
		r.result.Tenants[j.tenant].Good++
		r.result.second(r.now).Good++
		r.result.latencies = append(r.result.latencies, r.now-j.came)
	}
	if r.lim != nil {
		r.lim.Release(r.now, j.permit, outcome)
	}
	r.over(j)
}
